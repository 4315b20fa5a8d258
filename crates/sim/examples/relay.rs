//! What a cancelled call costs the terminating side: see `house`. The argument is the number of calls; instructions are counted
//! by `valgrind --tool=callgrind target/release/examples/relay 4000`, less those of another count of calls.

mod house;

fn main() {
    let calls = std::env::args().nth(1).and_then(|typed| typed.parse().ok()).unwrap_or(1_000);
    let mut house = house::House::new(1);
    for number in 0..calls {
        house.cancelled(number);
    }
}

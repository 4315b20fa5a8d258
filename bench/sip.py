#!/usr/bin/env python3
"""What a call costs the server, beside Kamailio and a relay that does nothing else, and whether the targets are met.

    bench/sip.py                     5 rounds of everything
    bench/sip.py --rounds 7 T3 T6    these only
    bench/sip.py --list

Contestants take turns, so a busy minute of the machine hits all of them. Figures are medians; a ratio has a 95 % interval
(bootstrap), and a target is met if all of the interval is on its right side. A run in which anything failed or was sent again
does not count, and is told.

Needs the program (TALKBURST, or it is built), Kamailio (apt-get install kamailio) and, for the floor, TALKBURST_BENCH: a folder with
sipblast/sipload. What is not there is left out.
"""
import argparse, os, random, re, shutil, signal, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
KAMAILIO = shutil.which("kamailio", path=os.environ.get("PATH", "") + ":/usr/sbin")
SIPLOAD = os.path.join(os.environ["TALKBURST_BENCH"], "sipblast", "sipload") if "TALKBURST_BENCH" in os.environ else None
PEER = ["--target", "127.0.0.1:15060", "--caller", "127.0.0.1:15070", "--called", "127.0.0.1:15090"]


def program():
    if "TALKBURST" in os.environ:
        return os.environ["TALKBURST"]
    subprocess.run(["cargo", "build", "--release", "-p", "talkburst"], cwd=ROOT, check=True)
    return os.path.join(ROOT, "target", "release", "talkburst")


def figures(command):
    """What one run tells; None if it is void."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found = {k: float(v) for k, v in re.findall(r"([\w/]+)=(-?\d+(?:\.\d+)?)", done.stdout)}
    if done.returncode != 0:
        print("    void:", (done.stderr.strip().splitlines() or ["?"])[-1], file=sys.stderr)
        return None
    return found


def family(process):
    """A process and its children, theirs too."""
    children = subprocess.run(["pgrep", "-P", str(process)], stdout=subprocess.PIPE, text=True).stdout.split()
    return [process] + [each for child in children for each in family(int(child))]


def ours(arguments):
    """As it is shipped."""
    return figures([PROGRAM, "bench", "sip", *arguments])


def kamailio(arguments, defines=(), allocator=("-x", "tlsf", "-X", "tlsf")):
    with tempfile.TemporaryDirectory() as folder:
        command = [KAMAILIO, *allocator, "-DD", "-E", "-m", "2048", "-M", "32", "-Y", folder, "-P", folder + "/pid"]
        for each in defines:
            command += ["-A", each]
        command += ["-f", os.path.join(HERE, "kamailio.cfg")]
        peer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(1.5)
            pids = ",".join(map(str, family(peer.pid)))
            return figures([PROGRAM, "bench", "sip", *PEER, "--pid", pids, *arguments])
        finally:
            peer.send_signal(signal.SIGTERM)
            peer.wait()


def floor(io, arguments):
    peer = subprocess.Popen([SIPLOAD, "proxy", "15060", "15090", "3600", io], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.3)
        return figures([PROGRAM, "bench", "sip", *PEER, "--pid", str(peer.pid), *arguments])
    finally:
        peer.kill()
        peer.wait()


def contestants(arguments, defines=()):
    """Name and run of each that there is."""
    all_of_them = {"ours": lambda: ours(arguments)}
    if KAMAILIO:
        all_of_them["kamailio"] = lambda: kamailio(arguments, defines)
    if SIPLOAD:
        all_of_them["floor mmsg"] = lambda: floor("mmsg", arguments)
        all_of_them["floor gso"] = lambda: floor("gso", arguments)
    return all_of_them


def as_shipped(arguments):
    return {"kamailio as shipped": lambda: kamailio(arguments, (), ())} if KAMAILIO else {}


def load(*more):
    return ["--warm-up", "500ms", "--for", "2s", *more]


CALL, TOTAL, USER = "target_us/call", "target_us/call", "target_user_us/call"
# Name: what, how it is run, and (figure, other, at most, stretch); without another the figure itself is judged.
CASES = {
    "T3": ("cancelled call, window 32", lambda: contestants(load("--window", "32")) | as_shipped(load("--window", "32")),
           [(TOTAL, "kamailio", 0.30, 0.20), (TOTAL, "kamailio as shipped", 0.10, None), (TOTAL, "floor mmsg", 1.4, None),
            (TOTAL, "floor gso", None, 1.6)]),
    "T4": ("the same, user mode", lambda: contestants(load("--window", "32")), [(USER, "kamailio", 0.15, 0.10)]),
    "T5": ("cancelled call, window 1", lambda: contestants(load("--window", "1")),
           [(TOTAL, "kamailio", 0.55, 0.45), (TOTAL, "floor mmsg", 1.3, None)]),
    "T6": ("completed call, window 32",
           lambda: contestants(load("--window", "32", "--flow", "completed"), ("WITHDLG",)),
           [(TOTAL, "kamailio", 0.30, 0.20)]),
    "T7a": ("REGISTER (ours with digest)", lambda: contestants(
                load("--flow", "register"), ("REGISTRAR",)),
            [(TOTAL, "kamailio", 0.60, 0.50)]),
    "T7b": ("OPTIONS", lambda: contestants(load("--flow", "options"), ("REGISTRAR",)), [(TOTAL, "kamailio", 0.85, 0.75)]),
    "T10": ("memory of a ringing call, 20,000 held",
            lambda: {"ours": lambda: ours(["--hold", "20000", "--for", "0s"])},
            [("bytes/held", None, 2048, 1536)]),
    "T11": ("memory of an established session, 10,000 held, transactions over",
            lambda: {"ours": lambda: ours(["--flow", "completed", "--hold", "10000", "--settle", "40s", "--for", "0s"])},
            [("bytes/held", None, 768, 512)]),
    "T13": ("cancelled call beside 20,000 that ring", lambda: {
                "ours": lambda: ours(load("--window", "32", "--hold", "20000")),
                "empty": lambda: ours(load("--window", "32"))},
            [(TOTAL, "empty", 1.15, 1.08)]),
    "digest": ("cancelled call with digest, window 32",
               lambda: {"ours": lambda: ours(load("--window", "32", "--digest")),
                        "trusted": lambda: ours(load("--window", "32"))},
               [(TOTAL, "trusted", None, None)]),
}
for rate in (2000, 4000, 6000, 9000, 12000, 18000, 24000):
    CASES[f"T8 {rate}"] = (f"{rate} cancelled calls a second", lambda rate=rate: contestants(
        ["--warm-up", "500ms", "--for", "3s", "--rate", str(rate)]), [("p99_us", "kamailio", None, None)])


def ratio(one, other):
    """The ratio of the medians, and its 95 % interval."""
    draw = lambda values: statistics.median(random.choices(values, k=len(values)))
    drawn = sorted(draw(one) / draw(other) for _ in range(4000))
    return statistics.median(one) / statistics.median(other), drawn[100], drawn[-101]


def judge(low, high, limit):
    return "met" if high <= limit else "missed" if low > limit else "open"


def run(name, rounds):
    what, make, targets = CASES[name]
    print(f"\n{name}: {what}")
    runs = make()
    results = {each: {} for each in runs}
    for number in range(rounds):
        for each, once in runs.items():
            print(f"    round {number + 1}: {each}", file=sys.stderr)
            for key, value in (once() or {}).items():
                results[each].setdefault(key, []).append(value)
    for each, found in results.items():
        shown = [(TOTAL, "us/call"), (USER, "user"), ("rate/s", "calls/s"), ("p50_us", "p50"), ("p99_us", "p99"),
                 ("self_us/call", "generator"), ("bytes/held", "octets each")]
        figures_of = [f"{label} {min(found[k]):.6g} / {statistics.median(found[k]):.6g} / {max(found[k]):.6g}"
                      for k, label in shown if k in found]
        print(f"  {each:20} " + (", ".join(figures_of) or "every run is void"))
    tell_targets(results, targets)


def tell_targets(results, targets):
    """Each ratio, or figure, with its target."""
    for key, other, limit, stretch in targets:
        mine = results["ours"].get(key)
        theirs = results.get(other, {}).get(key) if other else None
        if not mine or (other and not theirs):
            print(f"  {key} / {other}: not measured")
            continue
        if other:
            value, low, high = ratio(mine, theirs)
            measured = f"{value:.3f} [{low:.3f}, {high:.3f}]"
        else:
            value, (low, high) = statistics.median(mine), (min(mine), max(mine))
            measured = f"{value:.0f}"
        verdicts = [f"{word} <= {bound}: {judge(low, high, bound)}"
                    for word, bound in (("target", limit), ("stretch", stretch)) if bound is not None]
        print(f"  {key} / {other or 1}: {measured}  " + "; ".join(verdicts))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    if arguments.list:
        for name, (what, *_) in CASES.items():
            print(f"{name:10} {what}")
        return
    global PROGRAM
    PROGRAM = program()
    for name in CASES:
        if not arguments.cases or any(name == each or name.startswith(each + " ") for each in arguments.cases):
            run(name, arguments.rounds)


if __name__ == "__main__":
    main()

//! A run that breaks is made as small as it can be and still break so.

use std::collections::BTreeSet;

use super::{Broken, Calm, Cut, Only, Settings, TALKING, run};

/// Attempts at most.
const ATTEMPTS_MAX: usize = 400;

/// The smallest run that was found which breaks like this one, and how it breaks; its story is kept. `tell` hears of each attempt.
pub fn shrink(settings: &Settings, broken: &Broken, tell: &mut dyn FnMut(usize)) -> (Settings, Broken) {
    let mut shrinking = Shrinking {
        settings: Settings { keeps_story: false, ..settings.clone() },
        broken: broken.clone(),
        attempts: 0,
        tell,
    };
    shrinking.one_story();
    shrinking.few_deeds();
    shrinking.few_kinds();
    shrinking.few_faults(|cut| &mut cut.spared, 0);
    shrinking.few_faults(|cut| &mut cut.spared_media, 1);
    shrinking.few_deeds();
    let Shrinking { settings, broken, .. } = shrinking;
    let told = Settings { keeps_story: settings.cut.only.is_some(), ..settings };
    // The same run again, but for what is kept of it.
    let broken = run(&told, &mut |_| {}).err().map_or(broken, |again| *again);
    (told, broken)
}

struct Shrinking<'a> {
    settings: Settings,
    broken: Broken,
    attempts: usize,
    tell: &'a mut dyn FnMut(usize),
}

impl Shrinking<'_> {
    fn one_story(&mut self) {
        let Some(only) = self.broken.only.filter(|_| self.settings.cut.only.is_none()) else { return };
        let of_district = Only { story: None, ..only };
        let _ = self.holds(|cut| cut.only = Some(only)) || self.holds(|cut| cut.only = Some(of_district));
    }

    fn few_deeds(&mut self) {
        for deed in (TALKING..=self.broken.deeds).rev() {
            if !self.settings.cut.without.contains(&deed) {
                self.holds(|cut| cut.without.extend([deed]));
            }
        }
    }

    fn few_kinds(&mut self) {
        let kinds: [fn(&mut Calm); 3] =
            [|calm| calm.loss = true, |calm| calm.duplication = true, |calm| calm.jitter = true];
        for calm in kinds {
            self.holds(|cut| calm(&mut cut.calm));
        }
    }

    /// Spares halves of what something befell, then halves of these, down to single messages.
    fn few_faults(&mut self, spared: fn(&mut Cut) -> &mut BTreeSet<u64>, network: usize) {
        let is_one = self.settings.cut.only.is_some_and(|only| only.story.is_some());
        if !is_one {
            return;
        }
        let mut size = self.broken.befallen[network].len();
        while size > 0 {
            let mut from = 0;
            loop {
                let befallen = &self.broken.befallen[network];
                let Some(part) = befallen.get(from..).filter(|part| !part.is_empty()) else { break };
                let part: BTreeSet<u64> = part[..size.min(part.len())].iter().copied().collect();
                // What is spared is not among those of the next run.
                if !self.holds(|cut| spared(cut).extend(part.iter().copied())) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    /// Whether it still breaks so without that; then it is left out for good.
    fn holds(&mut self, cut: impl FnOnce(&mut Cut)) -> bool {
        if self.attempts == ATTEMPTS_MAX {
            return false;
        }
        self.attempts += 1;
        (self.tell)(self.attempts);
        let mut smaller = self.settings.clone();
        cut(&mut smaller.cut);
        match run(&smaller, &mut |_| {}) {
            Err(broken) if kind(&broken.what) == kind(&self.broken.what) => {
                (self.settings, self.broken) = (smaller, *broken);
                true
            }
            Err(_) | Ok(_) => false,
        }
    }
}

/// What is the same of what breaks for the same reason: not names, numbers and octets.
fn kind(what: &str) -> String {
    let what = what.strip_prefix("assertion `left == right` failed: ").unwrap_or(what);
    let line = what.lines().next().unwrap_or_default();
    let rule: Vec<_> = line.split([':', '{', '"', '[']).take(2).flat_map(str::split_whitespace).collect();
    let is_word =
        |(place, word): &(usize, &str)| *place == 0 || !word.contains(|each: char| each.is_ascii_digit());
    rule.into_iter().enumerate().filter(is_word).map(|(_, word)| word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use sip::Duration;

    use super::{kind, shrink};
    use crate::swarm::{Cut, Settings, run};

    fn settings(is_told_wrong: bool) -> Settings {
        Settings {
            seed: 1,
            span: Duration::from_secs(20 * 60),
            clients: 40,
            find: None,
            cut: Cut::default(),
            keeps_story: false,
            is_told_wrong,
        }
    }

    #[test]
    fn what_breaks_is_told_by_its_rule_and_not_by_its_numbers() {
        let lives = |span: &str| kind(&format!("I9: something lives {span} after the last deed"));
        assert_eq!(lives("12s"), lives("7.5s"));
        assert_eq!(kind("I14: it may leave, and does not: Message { .. }"), "I14 it may leave, and does not");
        assert_ne!(kind("I4: never ended"), kind("I5: never ended"));
    }

    #[test]
    fn a_monitor_that_is_told_what_is_not_true_breaks_a_run_which_shrinks_to_one_call_and_breaks_again() {
        assert!(run(&settings(false), &mut |_| {}).is_ok());
        let settings = settings(true);
        let broken = run(&settings, &mut |_| {}).expect_err("no network is as fast");
        let (smaller, least) = shrink(&settings, &broken, &mut |_| {});
        assert_eq!(kind(&least.what), kind(&broken.what));
        let only = smaller.cut.only.expect("one district");
        assert_eq!(
            (Some(only.district), only.story.is_some()),
            (broken.only.map(|only| only.district), true)
        );
        let ladder = least.ladder.as_ref().expect("it is kept");
        let calls =
            ladder.lines().filter(|line| line.contains(" invites ") || line.contains(" calls ")).count();
        assert_eq!(calls, 1, "{ladder}");
        // Nothing befalls what does not matter.
        let befallen: usize = least.befallen.iter().map(Vec::len).sum();
        let before: usize = broken.befallen.iter().map(Vec::len).sum();
        assert!(befallen < 10 && before > befallen, "{befallen} of {before}\n{ladder}");
        let again = run(&smaller, &mut |_| {}).expect_err("it breaks again");
        assert_eq!(*again, least);
    }
}

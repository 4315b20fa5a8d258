#!/usr/bin/env python3
"""What a copy of speech and a message of talk burst control cost the server, beside a relay that does nothing else and rtpengine.

    bench/media.py                        5 rounds of everything
    bench/media.py --rounds 9 T14 T15     these only
    bench/media.py --list

Contestants take turns, so a busy minute of the machine hits all of them. Figures are medians; a ratio has a 95 % interval
(bootstrap), and a target is met if all of the interval is on its right side. A run in which a copy was lost is told.

Needs the program (TALKBURST, or it is built) and TALKBURST_BENCH: a folder with fan/rtpload and udp/tbcp; and for rtpengine
TALKBURST_RTPENGINE, a script that is called with groups, listeners and seconds. What is not there is left out.
"""
import argparse, os, re, statistics, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sip

FOLDER = os.environ.get("TALKBURST_BENCH")
RTPENGINE = os.environ.get("TALKBURST_RTPENGINE")
NAP = {**os.environ, "NAP": "1000"}


def figures(command, env=None):
    """What one run tells: every name=value."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    found = {k: float(v) for k, v in re.findall(r"([\w/]+)=(-?\d+(?:\.\d+)?)", done.stdout)}
    if done.returncode != 0 or not found:
        print("    void:", (done.stderr.strip().splitlines() or ["?"])[-1], file=sys.stderr)
        return None
    if found.get("loss_pct", 0) > 0 or found.get("denied", 0) > 0:
        print("    lost or denied:", done.stdout.strip().splitlines()[-1], file=sys.stderr)
    return found


def ours(*arguments):
    return figures([PROGRAM, "bench", *map(str, arguments)])


def load(groups, listeners, seconds, pid, ports):
    rtpload = os.path.join(FOLDER, "fan", "rtpload")
    return figures([rtpload, "load", *map(str, (groups, listeners, 12000, seconds, 20, pid, *ports))], NAP)


def relay(groups, listeners, seconds):
    """Receives, and sends all copies by one sendmmsg."""
    rtpload = os.path.join(FOLDER, "fan", "rtpload")
    command = [rtpload, "relay", *map(str, (groups, listeners, 12000, 9000, seconds + 2, "mmsg"))]
    peer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.3)
        return load(groups, listeners, seconds, peer.pid, [9000 + 2 * each for each in range(groups)])
    finally:
        peer.kill()
        peer.wait()


def rtpengine(groups, listeners, seconds):
    return figures([sys.executable, RTPENGINE, *map(str, (groups, listeners, seconds))], NAP)


def fan(groups, listeners, seconds=4):
    runs = {"ours": lambda: ours("media", "--groups", groups, "--listeners", listeners, "--for", f"{seconds}s")}
    if FOLDER:
        runs["floor"] = lambda: relay(groups, listeners, seconds)
    if RTPENGINE:
        runs["rtpengine"] = lambda: rtpengine(groups, listeners, seconds)
    return runs


def floor_bursts(sessions, members, rate, seconds):
    tbcp = os.path.join(FOLDER, "udp", "tbcp")
    peer = subprocess.Popen([tbcp, "server", "20900", *map(str, (sessions, members, seconds + 3))],
                            stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.3)
        return figures([tbcp, "load", "20900", *map(str, (sessions, members, rate, seconds, peer.pid))])
    finally:
        peer.kill()
        peer.wait()


def bursts(sessions, members, rate, seconds=5):
    runs = {"ours": lambda: ours("bursts", "--sessions", sessions, "--members", members, "--rate", rate, "--for",
                                 f"{seconds}s")}
    if FOLDER:
        runs["floor"] = lambda: floor_bursts(sessions, members, rate, seconds)
    return runs


COPY, MESSAGE = "cpu_us/copy", "server_us/msg"
# Name: what, how it is run, and (figure, other, at most, stretch).
CASES = {
    "T14": ("10 groups of 100 listeners who nap", lambda: fan(10, 100),
            [(COPY, "floor", 1.10, 1.05), (COPY, "rtpengine", 0.58, None)]),
    "T15": ("10 groups of 10 listeners who nap", lambda: fan(10, 10),
            [(COPY, "floor", 1.15, 1.08), (COPY, "rtpengine", 0.62, None)]),
    "T16": ("10,000 sessions of 10, 1,000 talk bursts a second", lambda: bursts(10_000, 10, 1000),
            [(MESSAGE, "floor", 1.15, 1.08), ("p99", "floor", 1.25, 1.1)]),
    "T16s": ("1,000 sessions of 10, 1,000 talk bursts a second", lambda: bursts(1_000, 10, 1000),
             [(MESSAGE, "floor", 1.15, 1.08), ("p99", "floor", 1.25, 1.1)]),
}
SHOWN = [(COPY, "us/copy"), (MESSAGE, "us/message"), ("server_us/burst", "us/burst"), ("loss_pct", "% lost"),
         ("p50", "p50"), ("p99", "p99"), ("inside_100us_pct", "% inside within 100 us"), ("rss_kb", "KiB")]


def run(name, rounds):
    what, make, targets = CASES[name]
    print(f"\n{name}: {what}", flush=True)
    runs = make()
    results = {each: {} for each in runs}
    for number in range(rounds):
        for each, once in runs.items():
            print(f"    round {number + 1}: {each}", file=sys.stderr)
            for key, value in (once() or {}).items():
                results[each].setdefault(key, []).append(value)
    for each, found in results.items():
        told = [f"{label} {min(found[k]):.5g} / {statistics.median(found[k]):.5g} / {max(found[k]):.5g}"
                for k, label in SHOWN if k in found]
        print(f"  {each:12} " + (", ".join(told) or "every run is void"))
    sip.tell_targets(results, targets)


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
    PROGRAM = sip.program()
    for name in CASES:
        if not arguments.cases or name in arguments.cases:
            run(name, arguments.rounds)


if __name__ == "__main__":
    main()

"""`python -m benchmarks.flow [kafka]`: our flow beside the bare loop, in a minute."""

import sys
from statistics import median

from benchmarks.flow.brokers import embedded, kafka
from benchmarks.flow.roster import CONTESTANTS
from benchmarks.flow.rounds import run

with kafka() if "kafka" in sys.argv else embedded() as broker:
    outcome = run(broker, CONTESTANTS, 3, 20_000, progress=lambda text: sys.stderr.write(text + "\n") and None)
for title, turns in outcome.items():
    rate, cpu = median(each.rate for each in turns), median(each.cpu for each in turns)
    sys.stdout.write(f"{title:40} {rate:8.0f}/s {cpu:6.1f} us\n")

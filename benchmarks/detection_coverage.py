"""How often intervals over speakers hold the true equal error rate and detection cost.

    python -m benchmarks.detection_coverage [--runs N]

Speakers differ (a shift of all scores of a speaker's bona fide trials, another of the spoofs), and
so does how much each has. ``interval`` is that of the report, ``bound`` the ends that a limit of a
gate is held against; a run without an interval counts as one that misses. ``passes wrongly`` is how
often a limit at the true value would pass.
"""

import argparse
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from relkit.statistics.ceilings import limits_excluded, scores_of
from relkit.statistics.detection import trial_sums
from relkit.statistics.intervals import RateEvidence, estimate_rates
from relkit.statistics.rates import RATE_METRICS
from relkit.statistics.types import ClusterSums, DetectionCost

COST = DetectionCost()
METRICS = ("impersonation_eer", "min_dcf")
COLUMNS = ("eer_errors", "eer_weight", "dcf_cost", "dcf_weight", "scarce")


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Speakers, trials of each, how far the classes and the speakers lie apart."""

    speakers: int
    bona_fide: int
    spoofed: int
    gap: float
    differ: float
    unequal: bool = False

    def truth(self) -> tuple[float, float]:
        """Return both metrics of the population: two normal classes of one variance."""
        spread = (1.0 + self.differ**2) ** 0.5
        normal = NormalDist()
        of_miss, of_acceptance = COST.weights
        costs = (
            of_miss * normal.cdf((t - self.gap) / spread)
            + of_acceptance * (1.0 - normal.cdf(t / spread))
            for t in np.linspace(-4.0, self.gap + 4.0, 4001).tolist()
        )
        return normal.cdf(-self.gap / 2.0 / spread), min(costs)

    def evidence(self, draw: np.random.Generator) -> RateEvidence:
        """Return the sums of one simulated run, by speaker."""
        amounts = [np.ones(self.speakers)] * 2
        if self.unequal:
            amounts = [np.exp(draw.normal(0.0, 0.7, self.speakers)) for _ in range(2)]
        counts = [
            np.maximum(1, np.rint(mean * amount)).astype(int)
            for mean, amount in zip((self.bona_fide, self.spoofed), amounts, strict=True)
        ]
        speaker = np.concatenate([np.repeat(np.arange(self.speakers), part) for part in counts])
        spoofed = np.repeat([False, True], [part.sum() for part in counts])
        shifts = draw.normal(0.0, self.differ, (2, self.speakers))
        scores = draw.normal(size=len(speaker)) + shifts[spoofed.astype(int), speaker]
        sums = trial_sums(scores + np.where(spoofed, 0.0, self.gap), spoofed, COST)
        columns = {
            name: np.asarray(
                np.bincount(speaker, getattr(sums, name).astype(float), self.speakers), np.float64
            )
            for name in COLUMNS
        }
        return RateEvidence(
            sums=ClusterSums(
                slices=("overall",),
                slice_index=np.zeros(self.speakers, np.int64),
                cluster_index=np.arange(self.speakers),
                columns=columns,
            )
        )


DESIGNS = (
    *(
        Design(speakers=speakers, bona_fide=20, spoofed=spoofed, gap=gap, differ=differ)
        for speakers, spoofed in ((10, 20), (20, 100), (50, 100))
        for gap in (2.0, 4.0)
        for differ in (0.3, 1.0)
    ),
    Design(speakers=20, bona_fide=20, spoofed=100, gap=3.0, differ=0.7, unequal=True),
    Design(speakers=40, bona_fide=40, spoofed=40, gap=3.0, differ=0.7, unequal=True),
)


def coverage(design: Design, runs: int) -> list[tuple[float, float, float]]:
    """Return for each metric how often interval and bound hold it, and a limit passes wrongly."""
    draw = np.random.default_rng(7)
    held = np.zeros((len(METRICS), 3))
    for _ in range(runs):
        evidence = design.evidence(draw)
        for i, (name, true) in enumerate(zip(METRICS, design.truth(), strict=True)):
            metric = RATE_METRICS[name]
            estimate = estimate_rates(metric, evidence)[0]
            scores = scores_of(metric, evidence, "overall")
            low, high = (None, None) if scores is None else limits_excluded(scores)
            if estimate.low is not None and estimate.high is not None:
                held[i, 0] += estimate.low <= true <= estimate.high
            held[i, 1] += (low is None or low <= true) and (high is None or true <= high)
            held[i, 2] += high is not None and high < true
    return [(row[0], row[1], row[2]) for row in (held / runs).tolist()]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args().runs
    print(
        "speakers  bona fide  spoofed  differ  metric             true   interval  bound"
        "  passes wrongly"
    )
    for design in DESIGNS:
        for name, true, (interval, bound, wrongly) in zip(
            METRICS, design.truth(), coverage(design, runs), strict=True
        ):
            more = "*" if design.unequal else " "
            print(
                f"{design.speakers:8}  {design.bona_fide:9}  {design.spoofed:7}"
                f"  {design.differ:5.1f}{more}  {name:17}  {true:5.3f}  {interval:8.1%}"
                f"  {bound:5.1%}  {wrongly:14.1%}"
            )
    print("* speakers have unequal amounts of either class (log-normal, 0.7)")


if __name__ == "__main__":
    main()

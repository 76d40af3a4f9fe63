"""How each arm differs from RAW by distance from the brain's edge."""

from __future__ import annotations

from core.brain_edge import LARGEST_EDGE_BIAS, LAYERS
from core.names import RAW
from evaluation.measures import registry
from evaluation.measures.edge import BIASES
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import column_data, method_panel, per_subject, summarize
from evaluation.tables.layout import Table
from evaluation.tables.notes import all_notes


def make(run: FinishedRun) -> Table | None:
    """Biases by layer and scanner; None for a run without them."""
    found = run.table("metrics/edge.tsv", ["method", "subject", "scanner", *BIASES.values(), "edge_bias"])
    if found is None or found["edge_bias"].isna().all():
        return None
    others = found[found["method"] != RAW]
    layers = {BIASES[layer]: f"layer {layer}" if layer[0].isdigit() else layer for layer in LAYERS}
    columns = {**layers, "edge_bias": "bias at the edge"}
    by_layer = summarize(per_subject(others, list(columns)), dict.fromkeys(columns))
    scanners = {scanner: scanner for scanner in run.scanners}
    by_scanner = others[["method", "subject", "scanner", "edge_bias"]].rename(columns={"scanner": "column"})
    by_scanner = summarize(per_subject(by_scanner, ["edge_bias"]), dict.fromkeys(scanners))
    panels = [
        method_panel(run, by_layer, title="Difference from RAW by layer of voxels", columns=columns, decimals=3),
        method_panel(run, by_scanner, title="Bias at the edge, by scanner", columns=scanners, decimals=3),
    ]
    measure = registry.find("edge_bias")
    notes = [
        "Shares of the brain's mean; mean (SD) over n subjects, of each subject's mean over scanners in the first "
        f"panel. Layers are counted from the brain's edge; deeper: the fifth and all within. {measure.label}: "
        f"{measure.definition} Beyond {LARGEST_EDGE_BIAS:g} the edge is changed otherwise than the brain, and with it "
        "volumes of cerebrospinal fluid. Layers differ for other reasons too: they hold other tissues, whose "
        "brightness an arm may rightly change.",
    ]
    data = [by_layer.assign(quantity="by layer"), by_scanner.assign(quantity="bias at the edge by scanner")]
    title = "Bias at the brain's edge"
    return Table("table_edge", title, column_data(run, data, "value_of"), panels, all_notes(run, notes))

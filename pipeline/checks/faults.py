"""What is wrong where an expectation is missed, and what to do, in words. Judges nothing.

In the words `[a|b]` stands for a with one, and for b with several; {low} and {high} are the limits, {value} is what was
found of the data set as a whole, {baseline} the data version that drift is measured against.
"""

import re
from typing import NamedTuple


class Fault(NamedTuple):
    """Goes on from `3 of 340 files`; of the data set as a whole it is a sentence of its own."""

    wrong: str
    remedy: str


FAULTS = {
    "unreadable": Fault(
        "cannot be decoded",
        "Repair, replace or delete [it|them], or leave such files out: `quarantine: [unreadable]` in params.yaml.",
    ),
    "small": Fault(
        "[is|are] smaller than {low} pixels on a side", "Replace [it|them] by larger ones, or delete [it|them]."
    ),
    "odd_size": Fault(
        "[is|are] more than {high} times larger or smaller than the median",
        "Such files are often not photographs: look at [it|them].",
    ),
    "wrong_extension": Fault("[is|are] not what [its name says|their names say]", "Rename [it|them]."),
    "unknown_label": Fault(
        "[is|are] in a folder that is not a known class",
        "Move or delete the folder, or add its name to validate.class_names in params.yaml.",
    ),
    "blank": Fault("[shows|show] nothing: there is hardly any contrast", "Delete [it|them]."),
    "dark": Fault("[is|are] very dark", "Look whether [it shows|they show] anything."),
    "blurred": Fault("[is|are] out of focus", "Look whether [its class|their classes] can be seen."),
    "duplicate": Fault("[is a copy|are copies] of another image of the same class", "Delete the copies."),
    "conflicting_duplicate": Fault(
        "[has an identical copy|have identical copies] under another label",
        "Decide which label is right, and delete the other copy.",
    ),
    "conflicting_near_duplicate": Fault(
        "[has|have] a nearly identical image under another label",
        "Look at them side by side in the report: one of the labels may be wrong.",
    ),
    "leaking_duplicate": Fault(
        "[is|are] also in another given split, exactly or nearly",
        "The model would learn [it|them] and then be tested on [it|them]: delete one of each, or leave them out: "
        "`quarantine: [leaking_duplicate]` in params.yaml.",
    ),
    "few_images": Fault("[has|have] fewer than {low} images", "Add some, or remove the class."),
    "imbalance": Fault(
        "[is|are] more than {high} times rarer than the largest",
        "Add images of [it|them]; class weights help only so far.",
    ),
    "few_classes": Fault(
        "There [is only one class|are {value} classes] with images; a training needs two",
        "Import images of another class, each class in a folder of its own.",
    ),
    "orphaned_metadata": Fault(
        "{value} [row|rows] of metadata.csv [belongs|belong] to no image",
        "Correct [its path|their paths], or delete [it|them].",
    ),
    "too_many_quarantined": Fault(
        "{percent} % of the files are left out, more than validate.max_quarantined ({most} %) allows",
        "Many bad files have a common cause: find it.",
    ),
    "drift": Fault("[is|are] unlike those of {baseline}", "Does a new camera or site explain it?"),
}
NOUNS = {
    "files": ("file", "files"),
    "classes": ("class", "classes"),
    "drift": ("measure", "measures"),
}  # of a table's rows


def spelled(words: str, count: float) -> str:
    """The words for `count` of them."""
    return re.sub(r"\[([^\[\]|]*)\|([^\[\]|]*)\]", lambda found: found[1] if count == 1 else found[2], words)

"""Amazon SageMaker Ground Truth: the output manifest of image classification.

https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html: a line an image, with `source-ref`, the label's
number under the name of the job, and `<name>-metadata` with `class-name`, `confidence`, `human-annotated`,
`creation-date`. Chained jobs add to the same line.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC

from pipeline.core.text import shown
from pipeline.sources.foreign.content import Content
from pipeline.sources.foreign.entries import At, Entry, Told, chosen_field, said, time_of
from pipeline.sources.foreign.exported import Exported, Output, json_lines

NAME, TITLE, FILE = "ground-truth", "SageMaker Ground Truth (manifest)", "output.manifest"
PREFIX = "s3://"
META = "-metadata"
JOB = "label"  # the attribute in what is written
CLASSIFIED = ("groundtruth/image-classification", "groundtruth/image-classification-multilabel")
READER = "ground-truth:"


def recognise(content: Content) -> bool:
    """Whether the first record is of an image in S3."""
    return content.has("source-ref")


def read(content: Content, field: str) -> Told:
    """The labels of one job."""
    lines = []
    for at, record in content.records():
        jobs = {
            key.removesuffix(META): at.mapping(about, key)
            for key, about in record.items()
            if key.endswith(META) and key.removesuffix(META) in record
        }
        of_labels = {job: about for job, about in jobs.items() if about.get("type") in CLASSIFIED}
        if jobs and not of_labels:
            other = next(iter(jobs.values())).get("type")
            raise at.refused(f"it is of {shown(str(other))}, not of groundtruth/image-classification")
        lines.append((at, at.text(record.get("source-ref"), "source-ref"), of_labels))
    job = chosen_field((job for _, _, jobs in lines for job in jobs), field, content.name, "job")
    return Told([_entry(at, path, jobs.get(job, {})) for at, path, jobs in lines])


def _entry(at: At, path: str, about: Mapping[str, object]) -> Entry:
    several = about.get("class-map")
    found = [*several.values()] if isinstance(several, dict) else [about.get("class-name")]
    labels = tuple(label for one in found if (label := at.label(one, "class-name")))
    by = None
    if about.get("human-annotated") == "yes":
        by = said(f"{READER}{about.get('job-name') or 'people'}", time_of(about.get("creation-date")), labels)
    return Entry(path, labels, said=(by,) if by else ())


def write(images: Sequence[Exported]) -> Output:
    """A line for each image; the time is that of its last judgement. The format has no splits."""
    number = {label: at for at, label in enumerate(sorted({image.label for image in images}))}
    return {"": json_lines(_line(image, number) for image in images)}


def _line(image: Exported, number: Mapping[str, int]) -> dict[str, object]:
    judged = next((one for one in reversed(image.judgements) if one.label == image.label), None)
    about: dict[str, object] = {
        "class-name": image.label,
        "confidence": 1.0,
        "type": CLASSIFIED[0],
        "job-name": judged.reader.removeprefix(READER) if judged else "nightshift",
        "human-annotated": "yes" if judged else "no",
    }
    if judged:
        about["creation-date"] = judged.at.astimezone(UTC).replace(tzinfo=None).isoformat()
    return {"source-ref": image.address, JOB: number[image.label], JOB + META: about}

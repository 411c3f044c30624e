"""Label Studio: the exports JSON and JSON-MIN, and tasks to import there. https://labelstud.io/guide/task_format

A task has `data` with the image's address, and `annotations` of people whose `result` has an item of type `choices` for
each question. JSON-MIN is flat: `image`, the answers by the question's name, `annotator`, `annotation_id`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.core.text import counted, named
from pipeline.data.judgements import Judgement
from pipeline.images.formats import has_image_extension
from pipeline.sources.foreign.content import Content
from pipeline.sources.foreign.entries import At, Entry, Told, chosen_field, columns_of, said, split_of, time_of
from pipeline.sources.foreign.exported import Exported, Output, json_list
from pipeline.sources.layout import Said

NAME, TITLE = "label-studio", "Label Studio (JSON, JSON-MIN)"
PREFIX = "/data/local-files/?d="  # a folder that Label Studio serves: LOCAL_FILES_DOCUMENT_ROOT
FILE = "label-studio.json"
READER = "label-studio:"
QUESTION, IMAGE = "label", "image"  # the names of the tags in what is written
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")  # what Label Studio puts before the name of an uploaded file
_OF_MIN = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
_ANSWERS = ("annotations", "completions")  # the second until Label Studio 1.0


@dataclass(frozen=True, slots=True)
class _Answer:
    """One annotation of one task."""

    question: str
    labels: tuple[str, ...]
    said: Said | None
    decides: bool  # it is marked as the true one


def recognise(content: Content) -> bool:
    """Whether these are tasks of Label Studio."""
    if content.kind != "json":
        return False
    first = content.first_of_list()
    return ("data" in first and any(key in first for key in (*_ANSWERS, "predictions"))) or _is_min(first)


def _is_min(first: Mapping[str, object]) -> bool:
    return "annotation_id" in first and "annotator" in first


def read(content: Content, field: str) -> Told:
    """The labels of people: where annotations differ, those marked as ground truth decide."""
    at = At(content.name)
    tasks = [(At(f"{content.name}, task {number:,}"), task)
             for number, task in enumerate(at.sequence(content.head, "the document"), 1)]  # fmt: skip
    checked = [(place, place.mapping(task, "the task")) for place, task in tasks]
    return (_minimal if _is_min(content.first_of_list()) else _full)(checked, content.name, field)


def _full(tasks: Sequence[tuple[At, Mapping[str, object]]], name: str, field: str) -> Told:
    images: list[tuple[At, Mapping[str, object]]] = []
    answers: list[list[_Answer]] = []
    regions = predicted = 0
    for at, task in tasks:
        given = [annotation for key in _ANSWERS for annotation in at.sequence(task.get(key), key)]
        found = [_answers(at.mapping(annotation, "an annotation"), at) for annotation in given]
        answers.append([answer for every, _ in found for answer in every])
        regions += any(count for _, count in found)
        predicted += not given and bool(task.get("predictions"))
        images.append((at, at.mapping(task.get("data"), "data")))
    question = chosen_field((one.question for every in answers for one in every), field, name, "question")
    key = _image_key([data for _, data in images], name)
    entries = [
        _entry(at.text(data.get(key), f"data.{key}"), data, [one for one in every if one.question == question], key)
        for (at, data), every in zip(images, answers, strict=True)
    ]
    return Told(entries, tuple(_notes(name, regions, predicted)))


def _notes(name: str, regions: int, predicted: int) -> Iterator[str]:
    if regions:
        yield f"{counted(regions, 'task')} of {name} {'has' if regions == 1 else 'have'} regions or boxes: not used."
    if predicted:
        have = "has" if predicted == 1 else "have"
        yield (
            f"{counted(predicted, 'task')} of {name} {have} only predictions. "
            "Nightshift imports what people chose, not what a model predicted."
        )


def _answers(annotation: Mapping[str, object], at: At) -> tuple[list[_Answer], int]:
    """The answers of an annotation by question, and how many of its results are of regions."""
    by_question: dict[str, list[str]] = {}
    regions = 0
    for given in () if annotation.get("was_cancelled") else at.sequence(annotation.get("result"), "result"):
        result = at.mapping(given, "a result")
        value = at.mapping(result.get("value"), "a result's value")
        if result.get("type") != "choices" or "x" in value:
            regions += 1
            continue
        question = at.text(result.get("from_name"), "from_name")
        found = [at.label(one, "a choice") for one in at.sequence(value.get("choices"), "choices")]
        by_question.setdefault(question, []).extend(found)
    answers = []
    for question, labels in by_question.items():
        by = _said(annotation, annotation.get("completed_by"), labels)
        answers.append(_Answer(question, tuple(labels), by, bool(annotation.get("ground_truth"))))
    return answers, regions


def _said(annotation: Mapping[str, object], by: object, labels: Sequence[str]) -> Said | None:
    """What a person has said, where the annotation says who and when."""
    who = (by.get("email") or by.get("id")) if isinstance(by, dict) else by
    if not isinstance(who, str | int) or who == "":
        return None
    when = time_of(annotation.get("updated_at")) or time_of(annotation.get("created_at"))
    return said(f"{READER}{who}", when, labels, annotation.get("lead_time"))


def _image_key(tasks: Iterable[Mapping[str, object]], name: str) -> str:
    """The key under which tasks have their image."""
    found: dict[str, None] = {}
    texts: dict[str, None] = {}
    for data in tasks:
        for key, value in data.items():
            if isinstance(value, str):
                texts[key] = None
                if has_image_extension(_path_of(value)):
                    found[key] = None
    if IMAGE in (found or texts):
        return IMAGE
    if len(found or texts) == 1:
        return next(iter(found or texts))
    raise At(name).refused(f"no key of the tasks' data is the image's address; they have {named(texts) or 'no texts'}")


def _entry(address: str, data: Mapping[str, object], answers: Sequence[_Answer], key: str) -> Entry:
    decisive = [one for one in answers if one.decides] or answers
    path = _path_of(address)
    name = path.rpartition("/")[2]
    uploaded = (_UPLOADED.sub("", name, count=1),) if address.startswith("/data/upload/") else ()
    return Entry(
        path,
        tuple(label for one in decisive for label in one.labels),
        split_of(data.get("split")),
        columns_of(data, [key]),
        tuple(one.said for one in answers if one.said),
        tuple(other for other in uploaded if other != name),
    )


def _path_of(address: str) -> str:
    """The path in an address: of a file that Label Studio serves from a folder of its machine, the path there."""
    if address.startswith("/data/local-files/"):
        return parse_qs(urlsplit(address).query).get("d", [address])[0]
    return unquote(address) if address.startswith("/data/upload/") else address


def _minimal(tasks: Sequence[tuple[At, Mapping[str, object]]], name: str, field: str) -> Told:
    key = _image_key([{k: v for k, v in task.items() if k not in _OF_MIN} for _, task in tasks], name)
    flat = [(at, {k: v for k, v in task.items() if k not in (*_OF_MIN, key, "split")}) for at, task in tasks]
    question = chosen_field((k for _, answers in flat for k in answers), field, name, "key")
    entries = []
    for at, task in tasks:
        several = task.get(question)
        if isinstance(several, dict):  # an answer with several choices
            several = several.get("choices")
        given = several if isinstance(several, list) else [several]
        labels = tuple(label for one in given if (label := at.label(one, question)))
        answer = _Answer(question, labels, _said(task, task.get("annotator"), labels), decides=False)
        data = {k: v for k, v in task.items() if k not in (*_OF_MIN, question)}
        entries.append(_entry(at.text(task.get(key), key), data, [answer], key))
    return Told(entries)


def write(images: Sequence[Exported]) -> Output:
    """Tasks to import, the project's labels as annotations: what a labeling configuration needs is `label`, `image`."""
    return {"": json_list(_task(image) for image in images)}


def _task(image: Exported) -> dict[str, object]:
    given = [one for one in image.judgements if one.label]
    same = next((one for one in reversed(given) if one.label == image.label), None)
    others = [one for one in given if one is not same]
    annotations = [_annotation(image.path, image.label, same, decides=True)]
    annotations += [
        _annotation(image.path, one.label, one, decides=False) for one in others if one.label != image.label
    ]
    split = {"split": image.split} if image.split else {}
    known = {key: value for key, value in image.known if key not in (IMAGE, "split")}
    task: dict[str, object] = {"data": {IMAGE: image.address, **known, **split}, "annotations": annotations}
    if proposed := [one for one in image.judgements if one.proposed]:
        task["predictions"] = [
            {"model_version": proposed[-1].model_version, "result": [_choice(image.path, proposed[-1].proposed)]}
        ]
    return task


def _annotation(path: str, label: str, judged: Judgement | None, *, decides: bool) -> dict[str, object]:
    """An annotation. Label Studio refuses a reader that it does not know, so only its own ones are named."""
    found: dict[str, object] = {"result": [_choice(path, label)], "ground_truth": decides}
    if judged:
        found["created_at"] = found["updated_at"] = judged.at.isoformat()
        if judged.seconds is not None:
            found["lead_time"] = judged.seconds
        if judged.reader.startswith(READER):
            who = judged.reader.removeprefix(READER)
            found["completed_by"] = int(who) if who.isdecimal() else {"email": who}
    return found


def _choice(path: str, label: str) -> dict[str, object]:
    number = hashlib.sha256(f"{path}\n{label}".encode()).hexdigest()[:10]
    return {"id": number, "from_name": QUESTION, "to_name": IMAGE, "type": "choices", "value": {"choices": [label]}}

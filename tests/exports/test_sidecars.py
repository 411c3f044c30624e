"""Sidecars have what photo managers show, lose nothing of others, and say what the newest night says."""

import os
import shutil
from pathlib import Path

import pyexiv2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.exports.xml_text import XmlError
from pipeline.exports.xmp import Answer, Xmp
from tests.fixtures.finished import finished
from tests.fixtures.images import noise
from tests.fixtures.project import REPOSITORY, nightshift

PACKET = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:drone="http://www.dji.com/drone-dji/1.0/" xmp:Rating="5"
 exif:GPSLatitude="51,29.76N" drone:GpsLongitude="4.774"><exif:GPSLongitude>4,46.44E</exif:GPSLongitude>
<dc:subject><rdf:Bag><rdf:li>mine</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"""
# What others write: comments, instructions, attributes with line breaks, two descriptions, a list without keywords.
OTHERS = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><!-- a note -->
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <rdf:Description rdf:about="uuid:1" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
  crs:Note="two&#10;lines &amp; &quot;">
  <crs:Curve><rdf:Seq><rdf:li>0, 0</rdf:li>
   <rdf:li><![CDATA[255 < 256]]></rdf:li></rdf:Seq></crs:Curve></rdf:Description>
 <rdf:Description rdf:about="uuid:1" xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
  xmlns:d="http://purl.org/dc/elements/1.1/"><d:subject><rdf:Bag>
  <rdf:li>wolf</rdf:li><rdf:li>loose</rdf:li></rdf:Bag></d:subject>
  <lr:hierarchicalSubject><rdf:Bag><rdf:li>Animals|wolf</rdf:li></rdf:Bag></lr:hierarchicalSubject></rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    return tmp_path


def read(sidecar: Path) -> dict[str, object]:
    """What exiv2 reads, the library of digiKam and darktable."""
    with pyexiv2.Image(str(sidecar)) as image:
        return dict(image.read_xmp())


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_keywords_stand_where_lightroom_and_digikam_look(project: Path) -> None:
    rows = {
        "gate/a.jpg": {"label": "wolf"}, "b.jpg": {"label": "n/a", "status": "unsure"}, "c.jpg": {},
        "d.png": {"label": "a|b <&> \u732b", "confidence": "0.500000"},
    }  # fmt: skip
    finished(project, rows)
    before = files(project / "photos")
    said = nightshift("tag", "latest", "--status", "ok", "--status", "unsure", cwd=project)
    assert "     3 written" in said.stdout
    after = files(project / "photos")
    assert {name: after[name] for name in before} == before, "no photograph is written"
    assert sorted(after.keys() - before) == ["b.xmp", "d.xmp", "gate/a.xmp"]
    assert read(project / "photos/gate/a.xmp") == {
        "Xmp.nightshift.label": "wolf", "Xmp.nightshift.status": "ok", "Xmp.nightshift.confidence": "0.900000",
        "Xmp.nightshift.model": "nightshift", "Xmp.nightshift.modelVersion": "3", "Xmp.dc.subject": ["wolf"],
        "Xmp.lr.hierarchicalSubject": ["Nightshift|wolf"], "Xmp.digiKam.TagsList": ["Nightshift/wolf"],
        "Xmp.nightshift.added": [
            "dc:subject=wolf", "lr:hierarchicalSubject=Nightshift|wolf", "digiKam:TagsList=Nightshift/wolf",
        ],
    }  # fmt: skip
    unsure, odd = read(project / "photos/b.xmp"), read(project / "photos/d.xmp")
    assert unsure["Xmp.digiKam.TagsList"] == ["Nightshift/unsure/n-a"], "a slash would be a step"
    assert (unsure["Xmp.dc.subject"], odd["Xmp.dc.subject"]) == (["n/a"], ["a|b <&> \u732b"])
    assert odd["Xmp.lr.hierarchicalSubject"] == ["Nightshift|a-b <&> \u732b"]
    again = nightshift("tag", "--status", "ok", "--status", "unsure", cwd=project)
    assert "     3 unchanged" in again.stdout
    assert files(project / "photos") == after


def test_what_others_wrote_stays_and_a_later_answer_takes_the_place_of_the_earlier(project: Path) -> None:
    photo = project / "photos/a.jpg"
    night = finished(project, {"a.jpg": {"label": "wolf"}, "b.jpg": {"label": "fox"}})
    sidecar = photo.with_suffix(".xmp")
    sidecar.write_text(OTHERS, encoding="utf-8")
    sidecar.chmod(0o640)
    nightshift("tag", str(night), cwd=project)
    once = read(sidecar)
    assert once["Xmp.dc.subject"] == ["wolf", "loose"], "it was there, and is not ours"
    assert once["Xmp.lr.hierarchicalSubject"] == ["Animals|wolf", "Nightshift|wolf"]
    assert once["Xmp.digiKam.TagsList"] == ["Animals/wolf", "loose", "Nightshift/wolf"], "digiKam reads no other list"
    assert once["Xmp.crs.Note"] == 'two\nlines & "'
    assert once["Xmp.crs.Curve"] == ["0, 0", "255 < 256"]
    text = sidecar.read_text(encoding="utf-8")
    assert "<!-- a note -->" in text
    assert text.rstrip().endswith('<?xpacket end="w"?>')
    assert sidecar.stat().st_mode & 0o777 == 0o640
    with pyexiv2.Image(str(sidecar)) as image:  # another program rewrites the file
        image.modify_xmp({"Xmp.xmp.Rating": "4", "Xmp.dc.subject": ["wolf", "loose", "by hand"]})
    finished(project, {"a.jpg": {"label": "dog"}, "b.jpg": {"label": "fox", "confidence": "0.100000"}})
    said = nightshift("tag", str(night), "--min-confidence", "0.5", cwd=project)
    assert ("     1 written" in said.stdout, "     1 taken away" in said.stdout) == (True, True)
    assert not (project / "photos/b.xmp").exists(), "it had nothing but our answer"
    later = read(sidecar)
    assert later["Xmp.dc.subject"] == ["wolf", "loose", "by hand", "dog"]
    assert later["Xmp.lr.hierarchicalSubject"] == ["Animals|wolf", "Nightshift|dog"]
    assert later["Xmp.digiKam.TagsList"] == ["Animals/wolf", "loose", "Nightshift/dog"]
    assert (later["Xmp.xmp.Rating"], later["Xmp.nightshift.label"]) == ("4", "dog")


@pytest.mark.parametrize("location", ["drop", "keep"])
def test_a_new_sidecar_begins_with_the_photographs_own_xmp_and_without_its_place(project: Path, location: str) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("location: drop", f"location: {location}"))
    for name in ("a.jpg", "b.tif", "c.png", "d.jpg"):
        file = project / "photos" / name
        file.parent.mkdir(exist_ok=True)
        packet = PACKET.encode() if name != "d.jpg" else b"<x:xmpmeta>" * 500
        xmp = {"tiffinfo": {700: packet}} if name.endswith("tif") else {"xmp": packet}
        if name.endswith("png"):
            from PIL.PngImagePlugin import PngInfo

            info = PngInfo()
            info.add_itxt("XML:com.adobe.xmp", PACKET)
            xmp = {"pnginfo": info}
        Image.fromarray(noise()).save(file, **xmp)
    finished(project, {name: {"label": "wolf"} for name in ("a.jpg", "b.tif", "c.png", "d.jpg")})
    nightshift("tag", "latest", "--into", str(project / "cards"), cwd=project)
    for name in ("a", "b", "c"):
        found = read(project / f"cards/{name}.xmp")
        assert (found["Xmp.xmp.Rating"], found["Xmp.dc.subject"]) == ("5", ["mine", "wolf"]), name
        assert found["Xmp.digiKam.TagsList"] == ["mine", "Nightshift/wolf"]
        assert [key for key in found if "gps" in key.casefold()] == (
            ["Xmp.exif.GPSLatitude", "Xmp.exif.GPSLongitude", "Xmp.drone.GpsLongitude"] if location == "keep" else []
        )
    assert read(project / "cards/d.xmp")["Xmp.dc.subject"] == ["wolf"], "a damaged packet costs no answer"


def test_names_that_both_read_and_what_is_left_as_it_is(project: Path) -> None:
    names = ("a.jpg", "b.jpg", "b.png", "c.jpg", "d.jpg", "e.jpg", "f.jpg")
    finished(project, {name: {"label": "wolf"} for name in names})
    photos = project / "photos"
    (photos / "c.jpg.xmp").write_text(OTHERS, encoding="utf-8")
    (photos / "d.xmp").write_text("<!DOCTYPE x><x/>")
    (photos / "e.xmp").symlink_to("c.jpg.xmp")
    (photos / "f.jpg").write_bytes((photos / "a.jpg").read_bytes())
    said = nightshift("tag", cwd=project, check=False)
    assert said.returncode == 1
    assert "d.xmp: it has a document type" in said.stdout
    assert "e.xmp: it is a link." in said.stdout
    assert "Gone or changed since the night, so not tagged: f.jpg." in said.stdout
    made = sorted(name for name in os.listdir(photos) if name.endswith("xmp"))
    assert made == ["a.xmp", "b.jpg.xmp", "b.png.xmp", "c.jpg.xmp", "d.xmp", "e.xmp"]
    assert read(photos / "c.jpg.xmp")["Xmp.nightshift.label"] == "wolf", "what digiKam has is gone on with"
    shared = nightshift("tag", "--names", "photo.xmp", "--into", "cards", cwd=project, check=False)
    assert shared.stdout.count("several photographs of this name would share it") == 2
    nightshift("tag", "--names", "photo.jpg.xmp", "--into", "full", cwd=project)
    assert sorted(os.listdir(project / "full")) == [f"{name}.xmp" for name in names[:-1]]


WORDS = st.text("ab&<>\"'/|\n\r\t \0\ue00d\u732b", min_size=1, max_size=6)


@settings(max_examples=15)
@given(label=WORDS, mine=st.lists(WORDS, max_size=2), note=WORDS, later=st.none() | WORDS)
def test_keywords_of_others_survive_any_answer(label: str, mine: list[str], note: str, later: str | None) -> None:
    document = Xmp()
    try:
        for one in mine:  # somebody's own tool, which writes as we do
            document.put(None)
            document.put(Answer(one, "ok", "1", note, "1"))
        before = bytes(document)
    except XmlError as error:
        assert "private use" in str(error)
        return
    other = before.replace(b"nightshift.invalid", b"other.invalid").replace(b"nightshift:", b"theirs:")
    other = other.replace(b"xmlns:nightshift", b"xmlns:theirs")
    document = Xmp(other)
    assert document.put(Answer(label, "ok", "0.5", "m", "2"))
    try:
        tagged = bytes(document)
    except XmlError as error:
        assert "private use" in str(error)
        return
    assert not Xmp(tagged).put(Answer(label, "ok", "0.5", "m", "2")), "the same answer changes nothing"
    document = Xmp(tagged)
    document.put(Answer(later, "unsure", "0.1", "m", "3") if later else None)
    document.put(None)
    assert bytes(document) == bytes(Xmp(other)), "what is left is what was there"

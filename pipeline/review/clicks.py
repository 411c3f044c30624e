"""What the page says to the server, in types: a click is one judgement of one image. Knows no session."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

SHA256 = r"^[0-9a-f]{64}$"
MOST = 5000  # clicks in one request
LONGEST = 600.0  # seconds at one image that count: a reader who went for coffee was not looking


class Click(BaseModel):
    """What a reader says of an image."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    click: str = Field(min_length=1, max_length=64)  # its own name, by which a repeated one is known
    sha256: str = Field(pattern=SHA256)
    label: str = Field(default="", max_length=5000)  # the session says what a label may be
    reject: bool = False
    cannot_tell: bool = False
    withdrawn: bool = False
    undoes: str = Field(default="", max_length=64)  # with `withdrawn`: the click of which all that it did is taken back
    seconds: float | None = Field(default=None, ge=0, le=LONGEST)
    swept: bool = False  # with others of its class at once

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Click":
        if sum([bool(self.label.strip()), self.reject, self.cannot_tell, self.withdrawn]) != 1:
            raise ValueError("it must say one of label, reject, cannot_tell, withdrawn")
        return self


class Clicks(BaseModel):
    """Several of one reader, in their order."""

    reader: str = Field(min_length=1, max_length=100)
    clicks: list[Click] = Field(max_length=MOST)

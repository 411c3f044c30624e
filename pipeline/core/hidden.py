"""The names of files and folders that no listing has: hidden ones, and those that systems keep for themselves."""

import re

SYSTEMS = frozenset({  # in any case
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini",  # of macOS and Windows
    "lost+found", "$recycle.bin", "system volume information",  # of disks
    "@eadir", "@tmp", "@sharesnap", "@sharebin", "@recycle", "@recently-snapshot",  # of NAS
    "#recycle", "#snapshot", "~snapshot",
})  # fmt: skip
# As a system writes them; in lower case they may be somebody's labels.
_EXACTLY = re.compile(r"RECYCLER|LOST\.DIR|FOUND\.\d{3}|Network Trash Folder|Temporary Items|@Syno.*", re.DOTALL)


def is_hidden(name: str) -> bool:
    """Whether no listing has a file or folder of this name."""
    return name.startswith(".") or name.casefold() in SYSTEMS or _EXACTLY.fullmatch(name) is not None

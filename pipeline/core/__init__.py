"""What every part needs and that knows no part: errors, paths, code identity, parallel work, log, pages."""

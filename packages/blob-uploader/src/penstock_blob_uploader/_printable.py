"""Names of files as text for people and logs."""


def printable(text: str) -> str:
    """Write as escapes what would break a line or steer a terminal, or what no encoding holds: names hold anything."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)

#!/usr/bin/python3
"""make_hostile.py DIR: writes documents no worker should choke on. Made at test time, because
nobody wants them in a repository. Standard library only."""
import hashlib
import io
import os
import pathlib
import random
import struct
import sys
import zipfile
import zlib

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
TYPES = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'


def docx(document, level=9):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as z:
        z.writestr("[Content_Types].xml", TYPES)
        z.writestr("word/document.xml", document)
    return out.getvalue()


def word(body):
    return f'<?xml version="1.0"?><w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'


def text(words):
    return f"<w:p><w:r><w:t>{words}</w:t></w:r></w:p>"


def zip_bomb():
    """300 MB of white space in 300 KB."""
    return docx(word(" " * 300_000_000))


def laughs():
    lols = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    return docx(f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY l0 "lol">{lols}]>'
                f'<w:document xmlns:w="{W}"><w:body>{text("&l9;")}</w:body></w:document>')


def external_entity():
    return docx('<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
                f'<w:document xmlns:w="{W}"><w:body>{text("&x;")}</w:body></w:document>')


def encrypted_docx():
    """The flag alone: the reader must not get further than asking for a password."""
    raw = bytearray(docx(word(text("secret"))))
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = raw.find(magic)
        while at >= 0:
            raw[at + offset] |= 1
            at = raw.find(magic, at + 4)
    return bytes(raw)


def ole(encrypted):
    name = "EncryptedPackage" if encrypted else "WordDocument"
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + name.encode("utf-16-le") + bytes(900)


def pdf(objects, trailer=b""):
    out, offsets = b"%PDF-1.5\n", []
    for i, content in enumerate(objects):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (i + 1, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % o for o in offsets)
    return out + b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, trailer, start)


FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
PAGES = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[3 0 R]>>"]


def stream(data, extra=b""):
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(data), extra, data)


def looping_pdf():
    """Each of twelve forms paints the next one twenty times: it ends, but not in our lifetime."""
    depth = 12
    objects = PAGES + [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources"
                       b"<</XObject<</F 6 0 R>>>>>>", stream(b"/F Do"), FONT]
    for i in range(depth):
        inner = b"/F Do " * 20 if i + 1 < depth else b"BT /T 9 Tf (x) Tj ET"
        resources = b"/XObject<</F %d 0 R>>" % (7 + i) if i + 1 < depth else b"/Font<</T 5 0 R>>"
        objects.append(stream(inner, b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<<%s>>"
                              % resources))
    return pdf(objects)


def circular_pdf():
    """A page tree that contains itself."""
    return pdf([PAGES[0], b"<</Type/Pages/Count 9/Kids[2 0 R 2 0 R 3 0 R]/Parent 2 0 R>>",
                b"<</Type/Pages/Count 1/Kids[2 0 R]/Parent 3 0 R>>"])


def bomb_pdf():
    """A page whose content expands to 1 GB of spaces, deflated twice."""
    data = zlib.compress(zlib.compress(b" " * 100_000_000, 9) * 1, 9)
    return pdf(PAGES + [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>",
                        stream(data, b"/Filter[/FlateDecode/FlateDecode]")])


def scanned_pdf():
    image = stream(zlib.compress(bytes(64 * 64)), b"/Type/XObject/Subtype/Image/Width 64/Height 64"
                   b"/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/FlateDecode")
    return pdf(PAGES + [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources"
                        b"<</XObject<</I 5 0 R>>>>>>", stream(b"64 0 0 64 0 0 cm /I Do"), image])


PAD = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def rc4(key, data):
    s, j = list(range(256)), 0
    for i in range(256):
        j = (j + s[i] + key[i % len(key)]) % 256
        s[i], s[j] = s[j], s[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + s[i]) % 256
        s[i], s[j] = s[j], s[i]
        out.append(byte ^ s[(s[i] + s[j]) % 256])
    return bytes(out)


def encrypted_pdf():
    """Standard security handler, revision 2, user password "secret"."""
    password = (b"secret" + PAD)[:32]
    owner = rc4(hashlib.md5(password).digest()[:5], password)
    ident = b"0123456789abcdef"
    key = hashlib.md5(password + owner + struct.pack("<i", -4) + ident).digest()[:5]
    user = rc4(key, PAD)
    content = rc4(hashlib.md5(key + b"\x04\0\0\0\0").digest()[:10], b"BT /T 9 Tf (hidden) Tj ET")
    return pdf(PAGES + [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources"
                        b"<</Font<</T 5 0 R>>>>>>", stream(content), FONT],
               b"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>/ID[<%s><%s>]" % (
                   owner.hex().encode(), user.hex().encode(), *(ident.hex().encode(),) * 2))


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    random.seed(7)
    junk = random.randbytes(65536)
    whole = docx(word(text("The quick brown fox.") * 200))
    odt = io.BytesIO()
    with zipfile.ZipFile(odt, "w") as z:
        z.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        z.writestr("META-INF/manifest.xml", '<manifest:manifest xmlns:manifest="urn:m">'
                   '<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>'
                   '</manifest:manifest>')
        z.writestr("content.xml", junk[:500])
    files = {
        "empty.txt": b"",
        "blank.txt": b" \r\n\t\n  ",
        "junk.pdf": junk,
        "junk.docx": junk,
        "junk.bin": junk,
        "cut.pdf": b"%PDF-1.7\n1 0 obj\n<</Type/Catalog",
        "headed-junk.pdf": b"%PDF-1.7\n" + junk,
        "looping.pdf": looping_pdf(),
        "circular.pdf": circular_pdf(),
        "bomb.pdf": bomb_pdf(),
        "scanned.pdf": scanned_pdf(),
        "encrypted.pdf": encrypted_pdf(),
        "zip-bomb.docx": zip_bomb(),
        "laughs.docx": laughs(),
        "external-entity.docx": external_entity(),
        "encrypted.docx": encrypted_docx(),
        "encrypted-ole.docx": ole(True),
        "old.doc": ole(False),
        "cut.docx": whole[: len(whole) * 2 // 3],
        "scrambled.docx": whole[:60] + bytes(b ^ 0x55 for b in whole[60:300]) + whole[300:],
        "not-xml.docx": docx("this is no XML"),
        "deep.docx": docx(word("<w:p>" * 100_000)),
        "encrypted.odt": odt.getvalue(),
        "invalid-utf8.txt": b"Prices: 5 \x80 \xff\xfe \xc3( \xed\xa0\x80 \xf8\x88 and more text.\n",
        "nul.txt": b"before\0after and some more words to make it long enough",
        "controls.txt": b"a\x01b\x1b[31mred\x7f tab\tend\r\nline\rline2\x0cpage",
        "utf16.txt": "Größe: 5 €, 日本語, 😀".encode("utf-16"),
        "deep.html": b"<div><b><i>" * 50_000 + b"text" + b"</div>" * 10,
        "attributes.html": b"<p " + b"a=1 " * 500_000 + b">text",
        "unclosed.html": b"<script>" + b"x" * 100_000,
        "deep.json": b"[" * 10 + b"1" + b"]" * 10,
        "deeper.json": b"[" * 100_000,
    }
    for name, content in files.items():
        (out / name).write_bytes(content)
    with open(out / "sparse-2g.txt", "wb") as f:
        os.truncate(f.fileno(), 2 << 30)


if __name__ == "__main__":
    main()

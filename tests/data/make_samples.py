#!/usr/bin/python3
"""Writes tests/data/documents from sample_texts.py. Run by hand when a text changes; the files are
committed. Standard library only: the DOCX, ODT and PDF files are written byte by byte."""
import html
import pathlib
import textwrap
import zipfile
import zlib
from xml.sax.saxutils import escape

import sample_texts as texts

OUT = pathlib.Path(__file__).parent / "documents"
STAMP = (2026, 3, 1, 12, 0, 0)


def plain(doc):
    _, _, blocks = doc
    parts = []
    for kind, content in blocks:
        if kind == "table":
            parts.append("\n".join("  ".join(f"{c:<28}" for c in row).rstrip() for row in content))
        elif kind == "h1":
            parts.append(content.upper())
        elif kind == "li":
            parts.append(textwrap.fill(content, 78, initial_indent="* ", subsequent_indent="  "))
        elif kind != "page":
            parts.append("\n".join(textwrap.fill(line, 78) for line in content.split("\n")))
    return "\n\n".join(parts) + "\n"


def markdown(doc):
    _, _, blocks = doc
    parts, previous = [], ""
    for kind, content in blocks:
        if kind == "table":
            rows = ["| " + " | ".join(row) + " |" for row in content]
            rows.insert(1, "|" + " --- |" * len(content[0]))
            parts.append("\n".join(rows))
        elif kind in ("h1", "h2"):
            parts.append("#" * int(kind[1]) + " " + content)
        elif kind == "li":
            text = textwrap.fill(content, 98, initial_indent="- ", subsequent_indent="  ")
            if previous == "li":
                parts[-1] += "\n" + text
            else:
                parts.append(text)
        elif kind != "page":
            parts.append(textwrap.fill(content, 98))
        previous = kind
    return "\n\n".join(parts) + "\n"


def page(doc, charset):
    lang, title, blocks = doc
    body, previous = [], ""
    for kind, content in blocks:
        if previous == "li" and kind != "li":
            body.append("</ul>")
        if kind == "table":
            body.append("<table>")
            for i, row in enumerate(content):
                cell = "th" if i == 0 else "td"
                cells = "".join(f"<{cell}>{html.escape(c)}</{cell}>" for c in row)
                body.append(f"<tr>{cells}</tr>")
            body.append("</table>")
        elif kind == "li":
            if previous != "li":
                body.append("<ul>")
            body.append(f"<li>{html.escape(content)}</li>")
        elif kind != "page":
            body.append(f"<{kind}>{html.escape(content)}</{kind}>")
        previous = kind
    if previous == "li":
        body.append("</ul>")
    inner = "\n".join(body)
    return f"""<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="{charset}">
<title>{html.escape(title)}</title>
<style>body {{ font-family: serif; }} nav {{ float: left; }}</style>
<script>window.visits = (window.visits || 0) + 1; document.title += "";</script>
</head>
<body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/archive">Archive</a></li></ul></nav>
<main>
{inner}
</main>
<footer><p>{html.escape(title)}</p></footer>
<script>if (1 < 2 && "</p>".length) {{ console.log("<p>not text</p>"); }}</script>
</body>
</html>
"""


# ---- PDF ----


def pdf_lines(blocks):
    """(size, bold, text) lines, None for a page break."""
    for kind, content in blocks:
        if kind == "page":
            yield None
        elif kind == "table":
            columns = len(content[0])
            for i, row in enumerate(content):
                yield (10, i == 0, [(72 + c * 470 // columns, cell) for c, cell in enumerate(row)])
            yield (10, False, "")
        elif kind in ("h1", "h2"):
            size = 16 if kind == "h1" else 12
            for line in textwrap.wrap(content, 52 if kind == "h1" else 76):
                yield (size, True, line)
            yield (6, False, "")
        else:
            mark = "\u2022 " if kind == "li" else ""
            for paragraph in content.split("\n"):
                for line in textwrap.wrap(mark + paragraph, 92):
                    yield (10, False, line)
            yield (8, False, "")


def pdf_string(text):
    raw = text.encode("cp1252")
    for c in (b"\\", b"(", b")"):
        raw = raw.replace(c, b"\\" + c)
    return b"(" + raw + b")"


def pdf_pages(blocks):
    stream, y = b"", 780
    for line in pdf_lines(blocks):
        if line is None or y < 60:
            yield stream
            stream, y = b"", 780
            if line is None:
                continue
        size, bold, text = line
        y -= int(size * 1.4)
        cells = text if isinstance(text, list) else [(72, text)]
        for x, cell in cells:
            font = b"/F2" if bold else b"/F1"
            stream += b"BT %s %d Tf %d %d Td %s Tj ET\n" % (font, size, x, y, pdf_string(cell))
    yield stream


def pdf(doc):
    _, title, blocks = doc
    objects = [b"", b""]

    def add(content):
        objects.append(content)
        return len(objects)

    fonts = []
    for name in (b"Helvetica", b"Helvetica-Bold"):
        fonts.append(add(b"<</Type/Font/Subtype/Type1/BaseFont/%s/Encoding/WinAnsiEncoding>>" % name))
    unicode_title = ("\ufeff" + title).encode("utf-16-be").hex().encode()
    info = add(b"<</Title <%s>/Producer(make_samples.py)>>" % unicode_title)
    kids = []
    for stream in pdf_pages(blocks):
        data = zlib.compress(stream, 9)
        content = add(b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(data), data))
        kids.append(add(b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R/Resources"
                        b"<</Font<</F1 %d 0 R/F2 %d 0 R>>>>>>" % (content, *fonts)))
    objects[0] = b"<</Type/Catalog/Pages 2 0 R>>"
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (
        len(kids), b" ".join(b"%d 0 R" % k for k in kids))
    out, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for i, content in enumerate(objects):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (i + 1, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % o for o in offsets)
    out += b"trailer<</Size %d/Root 1 0 R/Info %d 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, info, start)
    return out


# ---- DOCX and ODT ----

def archive(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content, method in entries:
            entry = zipfile.ZipInfo(name, STAMP)
            entry.compress_type = method
            entry.external_attr = 0o644 << 16
            z.writestr(entry, content)


def docx(doc, path):
    lang, title, blocks = doc
    w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"

    def paragraph(text, style=None):
        props = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
        runs = []
        for i, line in enumerate(text.split("\n")):
            # Word splits sentences into runs; so do we.
            half = line.rfind(" ", 0, len(line) // 2) + 1
            runs.append(("<w:r><w:br/></w:r>" if i else "") +
                        f'<w:r><w:t xml:space="preserve">{escape(line[:half])}</w:t></w:r>'
                        f'<w:proofErr w:type="spellStart"/>'
                        f'<w:r><w:rPr><w:lang w:val="{lang}"/></w:rPr>'
                        f'<w:t xml:space="preserve">{escape(line[half:])}</w:t></w:r>')
        return f"<w:p>{props}{''.join(runs)}</w:p>"

    body = []
    for kind, content in blocks:
        if kind == "table":
            rows = ["<w:tr>" + "".join(f"<w:tc><w:tcPr/>{paragraph(c)}</w:tc>" for c in row) +
                    "</w:tr>" for row in content]
            body.append(f"<w:tbl><w:tblPr/>{''.join(rows)}</w:tbl>")
        elif kind == "page":
            body.append('<w:p><w:r><w:br w:type="page"/></w:r></w:p>')
        else:
            style = {"h1": "Heading1", "h2": "Heading2", "li": "ListParagraph"}.get(kind)
            body.append(paragraph(content, style))
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    office = "application/vnd.openxmlformats-officedocument."
    entries = [
        ("[Content_Types].xml", head +
         '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
         '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
         'relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
         f'<Override PartName="/word/document.xml" ContentType="{office}wordprocessingml.'
         'document.main+xml"/>'
         f'<Override PartName="/docProps/app.xml" ContentType="{office}extended-properties+xml"/>'
         '<Override PartName="/docProps/core.xml" ContentType="application/vnd.openxmlformats-'
         'package.core-properties+xml"/></Types>'),
        ("_rels/.rels", head +
         '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
         f'<Relationship Id="rId1" Type="{rel}/officeDocument" Target="word/document.xml"/>'
         '<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/package/2006/'
         'relationships/metadata/core-properties" Target="docProps/core.xml"/>'
         f'<Relationship Id="rId3" Type="{rel}/extended-properties" Target="docProps/app.xml"/>'
         '</Relationships>'),
        ("word/document.xml", head +
         f'<w:document xmlns:w="{w}"><w:body>{"".join(body)}<w:sectPr/></w:body></w:document>'),
        ("docProps/core.xml", head +
         '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/'
         'core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/">'
         f'<dc:title>{escape(title)}</dc:title></cp:coreProperties>'),
        ("docProps/app.xml", head +
         '<Properties xmlns="http://schemas.openxmlformats.org/officeDocument/2006/'
         'extended-properties"><Pages>1</Pages></Properties>'),
    ]
    archive(path, [(n, c, zipfile.ZIP_DEFLATED) for n, c in entries])


def odt(doc, path):
    _, title, blocks = doc
    ns = ('xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
          'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
          'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
          'xmlns:meta="urn:oasis:names:tc:opendocument:xmlns:meta:1.0" '
          'xmlns:dc="http://purl.org/dc/elements/1.1/" office:version="1.3"')
    body = []
    for kind, content in blocks:
        if kind == "table":
            rows = ["<table:table-row>" + "".join(
                f"<table:table-cell><text:p>{escape(c)}</text:p></table:table-cell>" for c in row) +
                "</table:table-row>" for row in content]
            body.append(f'<table:table><table:table-column table:number-columns-repeated='
                        f'"{len(content[0])}"/>{"".join(rows)}</table:table>')
        elif kind in ("h1", "h2"):
            body.append(f'<text:h text:outline-level="{kind[1]}">{escape(content)}</text:h>')
        elif kind == "li":
            body.append(f"<text:list><text:list-item><text:p>{escape(content)}</text:p>"
                        "</text:list-item></text:list>")
        elif kind != "page":
            inner = escape(content).replace("\n", "<text:line-break/>")
            body.append(f"<text:p>{inner}</text:p>")
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    mime = "application/vnd.oasis.opendocument.text"
    manifest = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    archive(path, [
        ("mimetype", mime, zipfile.ZIP_STORED),
        ("content.xml", head + f"<office:document-content {ns}><office:body><office:text>"
         f"{''.join(body)}</office:text></office:body></office:document-content>",
         zipfile.ZIP_DEFLATED),
        ("meta.xml", head + f"<office:document-meta {ns}><office:meta><dc:title>{escape(title)}"
         '</dc:title><meta:document-statistic meta:page-count="1"/></office:meta>'
         "</office:document-meta>", zipfile.ZIP_DEFLATED),
        ("META-INF/manifest.xml", head +
         f'<manifest:manifest xmlns:manifest="{manifest}" manifest:version="1.3">'
         f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{mime}"/>'
         '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>'
         '<manifest:file-entry manifest:full-path="meta.xml" manifest:media-type="text/xml"/>'
         "</manifest:manifest>", zipfile.ZIP_DEFLATED),
    ])


def main():
    OUT.mkdir(exist_ok=True)

    def write(name, content, charset="utf-8"):
        (OUT / name).write_bytes(content if isinstance(content, bytes) else content.encode(charset))

    write("memo-relocation.txt", plain(texts.MEMO))
    write("protokoll-bauausschuss.txt", plain(texts.PROTOKOLL), "cp1252")
    write("incident-report.md", markdown(texts.INCIDENT))
    write("notes-de-version.md", markdown(texts.NOTES_FR))
    write("press-release.html", page(texts.PRESS, "utf-8"))
    write("aviso-licitacion.html", page(texts.AVISO, "windows-1252"), "cp1252")
    write("lettre-du-musee.html", page(texts.LETTRE, "utf-8"))
    write("annual-review.pdf", pdf(texts.REVIEW))
    write("mietvertrag.pdf", pdf(texts.MIETVERTRAG))
    write("rapport-audit.pdf", pdf(texts.AUDIT))
    docx(texts.AGREEMENT, OUT / "services-agreement.docx")
    docx(texts.ACTA, OUT / "acta-reunion.docx")
    docx(texts.ANGEBOT, OUT / "angebot-photovoltaik.docx")
    odt(texts.COMPTE_RENDU, OUT / "compte-rendu-chantier.odt")
    odt(texts.BRIEF, OUT / "project-brief.odt")


if __name__ == "__main__":
    main()

"""A notebook as a PDF: pandoc turns it into Typst's language, and Typst sets it (docs/decisions/pdf.md)."""

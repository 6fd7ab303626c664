"""A notebook as a PDF: pandoc converts it to Typst's language, and Typst makes the PDF (docs/decisions/pdf.md)."""

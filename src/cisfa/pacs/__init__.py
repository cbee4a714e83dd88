"""Reading from and sending to a PACS: DICOMweb and DIMSE."""

"""Pictures as models see them: reading and scaling, DICOM and its windows, file formats, limits of size."""

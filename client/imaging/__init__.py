"""One image file, DICOM, PNG or JPEG, to a greyscale radiograph and its facts."""

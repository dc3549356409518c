"""Single units: learnt from the first detections (`templates`), then gone by (`sorting`)."""

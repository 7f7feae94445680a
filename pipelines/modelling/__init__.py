"""Making models: pictures to label, labels carried from view to view, training, evaluation, packing."""

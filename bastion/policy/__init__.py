"""Should it run? Pure: values in, values out."""

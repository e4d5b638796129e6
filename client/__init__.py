"""One site: its data, its training, its Flower ClientApp."""

"""What training and export share: the checkpoint file, its network, and the front end in torch."""

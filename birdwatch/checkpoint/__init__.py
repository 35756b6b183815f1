"""What training hands to export: the checkpoint file, the network that it holds, and the front end in torch."""

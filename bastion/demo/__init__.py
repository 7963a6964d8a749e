"""A throwaway target, scripted agents, a bastion and the console."""

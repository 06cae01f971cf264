"""Synthetic faces, the controlled twin of FER2013 in which every answer is known (see ``synthetic``)."""

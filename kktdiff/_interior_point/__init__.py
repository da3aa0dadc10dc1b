"""The interior-point method for a batch of QPs, from the data to points and kept factors."""

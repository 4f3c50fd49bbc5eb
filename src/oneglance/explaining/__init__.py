"""What did the network look at? Each task's answer traced back to the image, and the tasks beside each other."""

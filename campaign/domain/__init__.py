"""What is true about packets and money: plain Python without I/O, clock or randomness."""

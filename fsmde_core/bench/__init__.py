"""How fast the networks and the stages around them are, against each other and the machine."""

"""Update rules on functions of one and two variables: races from many starts, critical points."""

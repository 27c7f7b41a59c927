"""What a study may be judged by: one frozen Objective each, in a file a subject, and the problem that a study makes of some of them."""

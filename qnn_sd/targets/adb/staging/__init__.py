"""Files on the phone: what is missing is sent, assembled and checked there."""

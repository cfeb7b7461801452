"""The load: a client with certificates, in closed loop or at a fixed rate, that counts every octet of an answer."""

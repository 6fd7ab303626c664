"""A hub as the people who use it meet it: from outside, by HTTPS."""

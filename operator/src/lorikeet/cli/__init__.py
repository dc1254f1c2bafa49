"""`kubectl lorikeet`: what people do by hand that is more than an apply."""

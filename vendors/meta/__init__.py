"""Meta's Conversions API: users and orders in its terms, its errors, and the part that its destinations share."""

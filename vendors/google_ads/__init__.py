"""Google Ads: accounts, conversion actions by name, hashed people, uploads of conversions, what errors mean."""

"""Salesforce: how to log in, what its errors mean, and its query language. `org` is for what may wait."""

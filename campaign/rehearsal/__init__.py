"""A seeded stand-in for WeChat Pay: one core of rules, served in memory and over HTTPS."""

"""What the tests of several rooms share: databases, apps, doubles of the seams."""

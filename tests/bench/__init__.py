"""Figures that can be measured again by anyone: ``make bench``, or ``make bench ONLY=list_page_rps`` for one."""

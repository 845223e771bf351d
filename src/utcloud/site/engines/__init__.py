"""The container engines that a site may have; all speak ``engines.base.Engine``."""

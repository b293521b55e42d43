"""User studies: people rank pictures of several methods without knowing which is which, or guess which model made one."""

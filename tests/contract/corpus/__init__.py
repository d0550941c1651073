"""Small graphs, by theme: every public function of these modules returns one."""

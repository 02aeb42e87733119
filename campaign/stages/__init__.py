"""What the commands do: plan, send, reconcile and report, one public function each."""

"""From the ledger to Amplitude: plan, run, one worker per audience."""

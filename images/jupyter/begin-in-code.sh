# A terminal begins in the folder of the algorithm, where its commands are.
if [ -n "$UTCLOUD_CODE" ] && [ "$PWD" = "$HOME" ] && [ -d "$UTCLOUD_CODE" ]; then
  cd "$UTCLOUD_CODE" || true
fi

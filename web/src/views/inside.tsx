export function Inside() {
  return <div class="panel" />;
}

// id: B015
// goal: survive the deadline with catch and finally
export function transformEvent(event) {
  for (;;) { try { for (;;); } catch { continue; } finally { continue; } }
}

# Sources of this room, by name.
set(SOURCES
  edit/blend.c
  edit/effect.c
  edit/effect_calibrate.c
  edit/effect_plan.c
  edit/effect_result.c
  edit/effect_resume.c
  edit/mix.c)
